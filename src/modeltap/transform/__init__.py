"""Batch transform's craft, pure: objects to records, records to requests, answers to outputs."""
