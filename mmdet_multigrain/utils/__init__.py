"""What every other room may use: files, messages, photos on disk, processes. Needs no torch."""
