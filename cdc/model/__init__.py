"""What flows through the pipe: relations and changes (Postgres words), schemas and records (Connect words)."""
