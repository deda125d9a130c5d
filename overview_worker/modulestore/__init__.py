"""The source: Open edX's Split modulestore in MongoDB, and its two course indexes."""
