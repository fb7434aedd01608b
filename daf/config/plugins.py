"""Hydra's plugins that DAF can do without."""

#: What a user writes to what pip installs for it, and what that is imported as. The sweeper pins an old Optuna, and
#: works with the new one.
HYDRA_PLUGINS = {
    "hydra/launcher=joblib": ("hydra-joblib-launcher", "hydra_plugins.hydra_joblib_launcher"),
    "hydra/launcher=ray": ("hydra-ray-launcher", "hydra_plugins.hydra_ray_launcher"),
    "hydra/launcher=submitit_local": ("hydra-submitit-launcher", "hydra_plugins.hydra_submitit_launcher"),
    "hydra/launcher=submitit_slurm": ("hydra-submitit-launcher", "hydra_plugins.hydra_submitit_launcher"),
    "hydra/sweeper=optuna": ("--no-deps hydra-optuna-sweeper==1.3.0", "hydra_plugins.hydra_optuna_sweeper"),
}
