@echo off
rem Double-click this file to fetch everything in models.txt and users.txt, or drop a list or a folder of models on it.
rem The first run creates the folder .venv next to it and installs what the program needs there; later runs reuse it.
rem For scripts: set CIVITAI_NO_PAUSE=1; arguments of this file are passed on to the program.
setlocal EnableExtensions DisableDelayedExpansion
chcp 65001 >nul
set "PYTHONUTF8=1"
set "PYTHONHOME="
set "PYTHONSAFEPATH="
set "RC=2"
set "LIST="
set "PYTHON="
set "OWN=.venv\Scripts\python.exe"
set "FIRST=%~1"
if defined FIRST if exist "%~f1" if not exist "%~f1\*" set "LIST=%~f1"
rem Of a folder in the current one only the name may be given, but not if it is that of a model as well.
if defined FIRST if exist "%~f1\*" for /f "delims=0123456789@" %%i in ("%~1") do set "LIST=%~f1"
rem A backslash at its end would hide the quote behind it.
if defined LIST if "%LIST:~-1%"=="\" set "LIST=%LIST%."
pushd "%~dp0"
if not exist "civitai_downloader\__main__.py" goto no_program

if defined LIST goto environment
if not defined FIRST goto own_lists
rem A full path that is not a file was dropped or typed; anything else is a link, an ID or an option.
if /i "%~f1"=="%~1" goto no_list
goto environment
:own_lists
if exist "models.txt" goto environment
if exist "users.txt" goto environment
goto no_models

:environment
if not exist "%OWN%" goto find_python
"%OWN%" -c "import sys, requests, tqdm, backoff, civitai_downloader as c; sys.exit(c.__version__ != open('.venv/version.txt').read())" >nul 2>nul
if %ERRORLEVEL%==0 goto run
echo Updating the program's environment...
"%OWN%" -c "import sys, pip, requests, tqdm, backoff; sys.exit(sys.version_info < (3, 10))" >nul 2>nul
if not %ERRORLEVEL%==0 goto find_python
call :install
if %ERRORLEVEL%==0 goto run
echo The update failed; continuing with the version that is installed.
goto run

:find_python
call :try py -3
if not defined PYTHON call :try python
if not defined PYTHON call :try python3
if not defined PYTHON goto no_python
echo Setting up. This happens once and takes a minute or two...
call %PYTHON% -m venv --clear .venv
if not %ERRORLEVEL%==0 goto no_environment
call :install
if not %ERRORLEVEL%==0 goto no_packages

:run
if not defined LIST goto run_words
if /i "%LIST%"=="%~f1" goto run_words
rem The list or folder was named from another folder: pass its full path instead of the first argument.
"%OWN%" -m civitai_downloader "%LIST%" %2 %3 %4 %5 %6 %7 %8 %9
goto ran
:run_words
"%OWN%" -m civitai_downloader %*
:ran
set "RC=%ERRORLEVEL%"
echo.
set "WORDS=The program stopped unexpectedly with code %RC%: see above."
if "%RC%"=="0" set "WORDS=Finished without errors."
if "%RC%"=="1" set "WORDS=Finished, but something failed: see above. Run this file again to retry."
if "%RC%"=="2" set "WORDS=Nothing was done: see above for the reason."
if "%RC%"=="3" set "WORDS=Finished, but files are still queued in IDM. Run this file again when IDM has fetched them."
if "%RC%"=="130" set "WORDS=Interrupted. Run this file again to continue."
echo %WORDS%
goto leave

:no_program
echo The folder civitai_downloader is missing next to this file.
echo If you see this from inside a zip file: extract all of it first, then run download.bat from there.
goto leave
:no_list
echo There is no file "%~1".
echo If its name contains one of the characters ^& ^^ %% , ; or =, Windows cuts it off: rename the file and drop it again.
goto leave
:no_models
>models.txt echo # One link per line. Lines that begin with # are comments.
>>models.txt echo #
>>models.txt echo # A model (every version), one version, a download link, or just the ID of a model:
>>models.txt echo #   https://civitai.com/models/10001
>>models.txt echo #   https://civitai.com/models/10001?modelVersionId=20001
>>models.txt echo #   10001
>>models.txt echo #
>>models.txt echo # After a link you can write options that apply to that line only:
>>models.txt echo #   https://civitai.com/models/10001 --latest --max-images 0 --layout comfyui -o D:\ComfyUI
>>models.txt echo.
if not exist models.txt goto no_writing
echo There was no models.txt, so an empty one was created.
echo Write your links into it, one per line, save it, and run this file again.
if not defined CIVITAI_NO_PAUSE start "" notepad models.txt
goto leave
:no_writing
echo There is no models.txt, and it can't be created here. Move this folder to a place where you may write.
goto leave
:no_python
echo Python 3.10 or newer was not found on this computer.
echo Get it from https://www.python.org/downloads/ and tick "Add python.exe to PATH" while installing.
echo Then run this file again.
goto leave
:no_environment
echo The environment .venv could not be created with "%PYTHON%".
echo Is another download running here? Can this folder be written to? Is its path very long?
goto leave
:no_packages
echo The packages that the program needs could not be installed: see above.
echo Check the connection (set HTTPS_PROXY if you need a proxy), then run this file again.
goto leave

:leave
popd
if not defined CIVITAI_NO_PAUSE pause
exit /b %RC%

rem Sets PYTHON if these words run a Python that is new enough. They may name another batch file, hence "call".
:try
call %* -c "import sys; sys.exit(sys.version_info < (3, 10))" >nul 2>nul
if %ERRORLEVEL%==0 set "PYTHON=%*"
exit /b 0

rem Installs the program and what it needs; the version file comes last, so that an unfinished environment is noticed.
:install
"%OWN%" -m pip install --quiet --disable-pip-version-check --no-input .
if not %ERRORLEVEL%==0 exit /b 1
"%OWN%" -c "import civitai_downloader as c; open('.venv/version.txt', 'w').write(c.__version__)"
exit /b %ERRORLEVEL%
