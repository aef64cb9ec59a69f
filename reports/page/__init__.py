"""What `report.html` shows, section by section, as records for its templates."""
