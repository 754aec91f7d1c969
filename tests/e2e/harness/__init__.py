"""The shared code of the end-to-end tests: servers, clients, certificates, the daemon and assertions."""
