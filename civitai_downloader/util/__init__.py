"""Tools that have never heard of Civitai, one subject a room. Sizes are bytes, times are seconds."""
