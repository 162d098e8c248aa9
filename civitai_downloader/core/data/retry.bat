@echo off
rem Written by civitai-downloader: runs the lines of failed.txt again. The token, if one is needed, comes from CIVITAI_API_KEY or token.txt.
setlocal EnableExtensions DisableDelayedExpansion
chcp 65001 >nul
set "PYTHONUTF8=1"
pushd "{folder}"
rem The program removes this file when nothing is left to retry, so the rest is one block, which is read before it runs.
(
    {command} %*
    if not errorlevel 0 exit /b 1
    if errorlevel 1 echo Something still failed: see above.
    if not defined CIVITAI_NO_PAUSE pause
    if errorlevel 131 exit /b 1
    if errorlevel 130 exit /b 130
    if errorlevel 3 exit /b 3
    if errorlevel 2 exit /b 2
    if errorlevel 1 exit /b 1
    exit /b 0
)
