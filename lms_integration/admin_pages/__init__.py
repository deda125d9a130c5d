"""The admin's pages; ``lms_integration.admin`` registers them."""
