"""Digital twins for fingerprint localization."""
