"""What edgerig claims about itself, each claim a program that anybody can run again."""
