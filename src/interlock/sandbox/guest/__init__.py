"""What runs inside: the zygote, the confinement of one child, and the runner of one job.

Standard library only, started by a bare `python -I -S` as the top-level package `guest`, so its modules import each other relatively and
nothing else of Interlock. Above: `zygotes`, which starts it. Below: the kernel.
"""
