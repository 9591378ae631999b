"""A team's code location, with the lines that send its customers to HubSpot."""
