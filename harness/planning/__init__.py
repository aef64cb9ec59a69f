"""What is measured, resolved before anything is: cells, budgets, baselines, what need not be measured again."""
