"""The modelled cluster and what runs on it; nothing here touches a real one."""
