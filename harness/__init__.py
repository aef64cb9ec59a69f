"""How it is measured: the plan, the controller, the journal, the command line."""
