"""What all syncs share of one account: its pace, its budget, its connections."""
