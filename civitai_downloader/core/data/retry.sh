#!/bin/sh
# Written by civitai-downloader: runs the lines of failed.txt again. The token, if one is needed, comes from CIVITAI_API_KEY.
cd {folder} || exit 2
exec {command} "$@"
