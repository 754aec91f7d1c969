"""What the end-to-end tests share: servers, clients, certificates, the daemon, and what they assert."""
