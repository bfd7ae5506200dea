"""Models behind a server: vLLM, llama-server, Ollama, LM Studio, any other OpenAI-compatible API.

See docs/servers.md and docs/decisions/0007-servers.md.
"""
