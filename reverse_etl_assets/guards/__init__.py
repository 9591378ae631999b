"""What has to hold before anything is sent, and while it is sent."""
