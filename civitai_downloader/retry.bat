@echo off
rem Runs the lines of failed.txt again. The token, if one is needed, comes from CIVITAI_API_KEY.
setlocal EnableExtensions DisableDelayedExpansion
chcp 65001 >nul
set PYTHONUTF8=1
cd /d "{folder}" || exit /b 2
{command} %*
set RC=%ERRORLEVEL%
if not defined CIVITAI_NO_PAUSE pause
exit /b %RC%
