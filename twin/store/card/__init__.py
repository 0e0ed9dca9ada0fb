"""What a person and a catalogue are told of a store."""
