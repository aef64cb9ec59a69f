"""What was learned: records and their files, statistics, and the ways to show them."""
