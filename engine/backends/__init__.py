"""Language models behind one protocol: `base.Backend`. An adapter imports its library only when it is
used."""
