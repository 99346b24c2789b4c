"""Models: what turns text into vectors and questions into answers, built in or behind an OpenAI-compatible endpoint."""
