"""What all HTTP endpoints share: sign-in, permissions, throttles, paging, errors, caching."""
