"""Histograms of several systems over each other, and the crystals behind each bar."""
