"""The methods: each folder holds a prior or a refiner, its loss and its training."""
