"""What public functions return: each holds findings, prints itself and saves itself."""
