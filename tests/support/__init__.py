"""What several rooms' tests need: small face sets, small models, and a session with a real agent."""
