"""What training needs whatever the network: optimizer, devices, threads and ranks."""
