"""Typed records to parquet and back: the only place that names columns.

Reading order: ``records`` (one dataclass per table, every column documented), ``store`` (atomic
parquet with schema version and provenance), ``parts`` (tables that grow while a run goes on).
"""
