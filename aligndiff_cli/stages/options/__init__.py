"""Every option of every command, declared once; nothing here imports torch."""
