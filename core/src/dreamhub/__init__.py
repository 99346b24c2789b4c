"""What every DreamHub service shares: resource types, domain rules, SQL, storage and model clients."""
