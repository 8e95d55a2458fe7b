"""What a run shows and leaves: one JSON object, tables, pictures, a folder."""
