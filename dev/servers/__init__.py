"""Private MariaDB or MySQL, RabbitMQ, Redis and MongoDB servers on this machine's loopback address."""
