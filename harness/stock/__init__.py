"""What is built here and sent to devices: wheels, bundles, machines, and the archives that hold them."""
