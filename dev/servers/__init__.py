"""Private MariaDB, RabbitMQ, Redis and MongoDB servers on this machine's loopback address."""
