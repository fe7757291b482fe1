"""Many files on many machines: Daft (demeanor[daft]) and Ray (demeanor[ray]).

Both read a file a task and write its rows as one Parquet file into a folder, so a run that was stopped goes on where it
was: a file whose rows are there is not read again. The folder, and the files that are read, must be where all machines see
them, under the same paths.
"""
