"""Many copies of the command under the engines that start them: GNU parallel, Slurm, and the commands of the docs."""
