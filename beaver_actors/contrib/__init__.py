"""Where beaver_actors meets other libraries, one module for each. Nothing else of the package imports from
here."""
