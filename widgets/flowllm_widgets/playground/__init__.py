"""The prompt playground: what is asked, how it is drawn, what comes out."""
