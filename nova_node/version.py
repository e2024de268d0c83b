"""The version of the program; the build reads it here. (To ask for that of the installed package took a
megabyte and a hundredth of a second of every node's start.)"""

VERSION = "0.1.0"
