"""Image + model artifact → running instances; image + inputs → jobs that run to their end.

    images        image URI → framework, exact version, pins, rules of its container
    environments  image → virtual environment, built once by uv
    artifacts     model.tar.gz → files, written by rules that no archive can bend
    launcher      the port `Launcher`, and what crosses it
    processes     instances as local processes: launch, adopt, probe, stop
    job_images    a job's image URI → where its program is found, and what runs
    commands      programs of this machine that jobs may name as images
    containers    a container engine, asked and told by its program
    jobs          jobs as local processes: furnish, start, stand, end
    guests        what every guest process has in common

A model is somebody's code. Nothing of it runs in our own processes: it is unpacked here and read
only in its worker (`modeltap_worker`), whose environment variables hold no secret of ours.
"""
