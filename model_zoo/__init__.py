"""What is measured: manifests, face sets, the drawn faces and the shipped variants."""
