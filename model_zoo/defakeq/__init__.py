"""Our reading of DeFakeQ: few bits a weight, dealt out by layer, and a few channels that stay in half precision."""
