"""Models and faces that people bring: what their files say, what they want, what can be made of them."""
