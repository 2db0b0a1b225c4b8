"""The dictionary: one file per family of concepts, each rule spelled in both frameworks."""
