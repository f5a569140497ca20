"""The `view` command: results turned around in a browser, or written for the Rerun viewer."""
