"""Problems and where they come from; labelled results."""
