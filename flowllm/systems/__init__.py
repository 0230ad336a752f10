"""Systems: a prior and a refiner behind two protocols, sampled, streamed, saved and loaded."""
